"""What people see: the console's table, report.md, the picture sheet."""
