"""Our own tokens: the keys that sign them, the access token, the refresh token."""
