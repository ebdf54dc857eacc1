"""How fast, next to what else, and how close to what the machine allows."""
