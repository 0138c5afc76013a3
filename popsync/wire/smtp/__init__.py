"""SMTP (RFC 5321) and LMTP (RFC 2033) as a client speaks them: octets ⇄ values, no I/O.

Reading: ``replies``, ``extensions``. Writing: ``addresses``, ``commands``, ``body``.
``reverse_path`` finds in a message's header whom to name as its sender.
"""
