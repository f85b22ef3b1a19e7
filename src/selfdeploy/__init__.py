"""selfdeploy takes SF from a source revision to production, and proves which build is running."""
