"""What a force answers for: audit, retention, disclosure and the annual review. Built on the record."""
