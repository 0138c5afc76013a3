"""A certification authority that lives as long as one test run."""

from pathlib import Path
from typing import NamedTuple

import trustme


class Certificate(NamedTuple):
    """PEM files of one server certificate for ``localhost`` and 127.0.0.1."""

    ca_file: Path
    chain_file: Path
    key_file: Path


def issue_certificate(directory: Path, *names: str) -> Certificate:
    """Write a new authority and a certificate that it signed for ``names`` into ``directory``."""
    authority = trustme.CA()
    issued = authority.issue_cert(*(names or ("localhost", "127.0.0.1")))
    certificate = Certificate(*(directory / name for name in ("ca.pem", "chain.pem", "key.pem")))
    authority.cert_pem.write_to_path(str(certificate.ca_file))
    issued.private_key_pem.write_to_path(str(certificate.key_file))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(certificate.chain_file), append=True)
    return certificate
