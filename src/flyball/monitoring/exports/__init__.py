"""What monitoring tells other tools: one reading of figures, and each tool's form of them in a module of its own."""
