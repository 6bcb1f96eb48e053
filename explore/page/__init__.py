"""One HTML file in which a run's generator draws faces, with the report of the run: no server, no request."""
