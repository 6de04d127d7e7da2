"""What several tests share: databases, a world with a movable clock, stand-ins for what is outside."""
