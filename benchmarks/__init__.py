"""What the gateway's hot paths cost, as ratios to a bare Starlette route that is measured in the same minute."""
