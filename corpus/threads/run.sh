guest threads
