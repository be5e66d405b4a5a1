"""An upstream is trusted by the roots of the settings and by nothing else."""

import datetime as dt
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from proxy.core.errors import UpstreamUnreachableError

RAW = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def certificate(name, key, issuer, issuer_key, *, ca):
    now = dt.datetime.now(dt.UTC)
    public = key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if not ca:
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Return (CA file, server context) of an authority made for this run."""
    folder = tmp_path_factory.mktemp("tls")
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    pem = serialization.Encoding.PEM
    ca_file, chain = folder / "ca.pem", folder / "server.pem"
    ca_file.write_bytes(certificate(ca_name, ca_key, ca_name, ca_key, ca=True).public_bytes(pem))
    chain.write_bytes(
        certificate(name, key, ca_name, ca_key, ca=False).public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return ca_file, context


async def test_a_server_of_our_authority_is_trusted(upstream, answering, authority):
    ca_file, context = authority
    client, _ = await upstream(answering(RAW), tls=context, scheme="https", ca_file=ca_file)
    async with client.open("POST", "/v1/chat/completions", {}, b"{}") as answer:
        assert b"".join([part async for part in answer.chunks()]) == b"{}"


async def test_without_our_authority_nothing_is_sent(upstream, answering, authority):
    client, wire = await upstream(answering(RAW), tls=authority[1], scheme="https")
    with pytest.raises(UpstreamUnreachableError):
        async with client.open("POST", "/v1/chat/completions", {}, b"{}"):
            pass
    assert wire.requests == []


async def test_a_server_that_speaks_no_tls_gets_nothing(upstream):
    async def story(wire, reader, writer):
        writer.write(b"220 ready\r\n")
        await wire.request(reader)

    client, wire = await upstream(story, scheme="https")
    with pytest.raises(UpstreamUnreachableError):
        async with client.open("POST", "/v1/chat/completions", {}, b"{}"):
            pass
    assert wire.requests == []
