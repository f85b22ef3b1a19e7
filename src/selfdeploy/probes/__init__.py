"""Which build answers: asked, compared, and asked again until it settles."""
