"""What runs came to over time: results, roll-ups and what was seen of each agent's stream."""
