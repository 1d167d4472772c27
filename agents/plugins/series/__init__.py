"""What plug-ins measured over time, and the newest lines they followed."""
