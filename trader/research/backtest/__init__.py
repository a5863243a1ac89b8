"""The live cycle in process, over stored bars: runs, their results and figures."""
