"""Files and what is in them: masks, pictures, tables, predictions of other programs, text."""
