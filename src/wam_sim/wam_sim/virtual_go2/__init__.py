"""A Go2 that is not there: answers the vendor's SDK over DDS and walks through a yard world."""
