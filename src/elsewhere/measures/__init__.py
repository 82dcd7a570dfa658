"""Numbers from data, models and predictions that explain a gap or forecast it."""
