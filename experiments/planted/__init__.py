"""Made-up data whose structure is known, and what each contrastive task makes of it."""
