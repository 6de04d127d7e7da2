"""Alarms that leave the building: a real mail server, a real webhook receiver, a movable clock."""
