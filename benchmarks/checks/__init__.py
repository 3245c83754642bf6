"""What checks cost, how late they are, and how soon somebody is told: `./dev bench checks`."""
