"""The only room that starts programs: finding them, launching them, their pipes and their end."""
