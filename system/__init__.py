"""What both stages ask of the operating system: files, locks, limits, streams, errors. Knows neither stage."""
