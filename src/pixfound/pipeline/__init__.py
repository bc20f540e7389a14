"""The five stages (generate, extract, grade, select, score), their stores, and what runs them."""
