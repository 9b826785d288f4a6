"""Send mail from a Python program: `import mailstrom`, call `send_email()`, and go on."""
