"""What is said to the model: template lookup, rendering, validation, and the values that templates may use."""
