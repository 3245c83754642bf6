"""Which service needs which: kept free of circles, and what an outage reaches."""
