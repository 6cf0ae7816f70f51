"""What is true about pictures: pure values and pure functions. No program, no file is touched here."""
