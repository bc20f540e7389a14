"""One picture and one question: the answer, and where the model saw it."""
