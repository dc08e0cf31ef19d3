"""What an experiment can show in its time: power, units and days, before it begins."""
