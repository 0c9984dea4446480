"""Analytics: the days of merchants in figures, made from events alone."""
