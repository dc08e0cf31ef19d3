"""Records that nobody made by working: histories of many models over years, written from a seed, and saying so."""
