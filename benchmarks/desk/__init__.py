"""The desk at the size of a large force: many open chats, years of closed ones, a hundred moderators."""
