"""What lies in a folder that nobody described, and the configuration that follows from it: the step `new`."""
