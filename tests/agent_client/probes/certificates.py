"""Certificates made for the tests: a root, an intermediate, servers' own."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Issuer = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]
NOW = datetime.datetime.now(datetime.UTC)


class Authority:
    """Signs certificates for loopback and names below `test`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = self._issue("root", None, 3_650, ca=True)
        self.intermediate = self._issue("intermediate", self.root, 1_825, ca=True)
        self.root_file = folder / "root.pem"
        self.root_file.write_bytes(_pem(self.root[0]))

    def server(self, name: str = "localhost", days: int = 90) -> ssl.SSLContext:
        """Return a server's context; negative days make an expired certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files(name, days))
        return context

    def files(self, name: str = "localhost", days: int = 90) -> tuple[Path, Path]:
        """Return the files of a server's certificate with its chain, and of its key."""
        certificate, key = self._issue(name, self.intermediate, days, ca=False)
        file, key_file = self.folder / f"{name}.{days}.pem", self.folder / f"{name}.{days}.key"
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        file.write_bytes(_pem(certificate) + _pem(self.intermediate[0]))
        return file, key_file

    def _issue(self, name: str, issuer: Issuer | None, days: int, *, ca: bool) -> Issuer:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names: list[x509.GeneralName] = [x509.DNSName(name)]
        if name == "localhost":
            names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer[0].subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - datetime.timedelta(days=4_000))
            .not_valid_after(NOW + datetime.timedelta(days=days, hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
        )
        return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
