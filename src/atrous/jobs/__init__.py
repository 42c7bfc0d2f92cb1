"""What a user can do, one file a verb: a frozen config and one function of it."""
