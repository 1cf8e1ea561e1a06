"""A monitor's file replayed over history: when it would have fired, how often, and which incidents it would have caught."""
