"""The stages that the executors of a Spark session do; what is not here runs the same code on both engines."""
