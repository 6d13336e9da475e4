"""The statements by which records would come into a table of Redshift. They were never run on one."""
