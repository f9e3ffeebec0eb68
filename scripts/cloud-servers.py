"""Prepares a server that scripts/cloud-servers started: buckets, users, rights. Prints credentials: the writer's, the reader's.

    cloud-servers.py moto|azurite|gcs|ceph PORT BUCKET  ceph: with the Python of moto's folder
    cloud-servers.py serve-gcs PORT                   runs gcp-storage-emulator, see below
    cloud-servers.py serve-tls PORT PLAIN FOLDER      speaks TLS before a gRPC server at PLAIN; its root is FOLDER/root.pem
"""

import base64
import datetime
import email.utils
import hashlib
import hmac
import json
import re
import sys
import urllib.parse
import urllib.request

# Azurite's own account: public, and the same everywhere.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
VERSION = "2021-12-02"


def ask(method, url, body=b"", headers=None):
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


def moto(base, bucket):
    """A user that may do all and one that may read; from then on, signatures and rights are checked."""
    signed = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=x"

    def iam(action, **fields):
        fields.update(Action=action, Version="2010-05-08")
        return ask("POST", base, urllib.parse.urlencode(fields).encode(), {"Authorization": signed})

    ask("PUT", f"{base}/{bucket}")
    for user, rights in (("writer", ["s3:*"]), ("reader", ["s3:GetObject", "s3:ListBucket"])):
        allow = {"Effect": "Allow", "Action": rights, "Resource": "*"}
        iam("CreateUser", UserName=user)
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        iam("PutUserPolicy", UserName=user, PolicyName="rights", PolicyDocument=policy)
        made = iam("CreateAccessKey", UserName=user)
        parts = [re.search(f"<{name}>(.*?)</", made).group(1) for name in ("AccessKeyId", "SecretAccessKey")]
        print(":".join(parts))
    ask("POST", f"{base}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})


def ceph(base, bucket):
    """A bucket, and the right to read it for the user `reader`."""
    import boto3

    keys = {"aws_access_key_id": "larder", "aws_secret_access_key": "larder-secret", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=base, **keys)
    client.create_bucket(Bucket=bucket)
    allow = {
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam:::user/reader"]},
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))


def sign(text):
    return base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()


def azurite(base, container):
    """A container, and a token that may read in it for a day."""
    now = datetime.datetime.now(datetime.timezone.utc)
    date = now.strftime("%a, %d %b %Y %H:%M:%S GMT")
    resource = f"/{ACCOUNT}/{ACCOUNT}/{container}\nrestype:container"
    text = "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{VERSION}\n{resource}"
    headers = {
        "x-ms-date": date,
        "x-ms-version": VERSION,
        "Authorization": f"SharedKey {ACCOUNT}:{sign(text)}",
        "Content-Type": "",
    }
    ask("PUT", f"{base}/{ACCOUNT}/{container}?restype=container", None, headers)
    expires = (now + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    # Rights, from, until, resource, identifier, addresses, protocols, version, kind, snapshot, scope, five headers.
    fields = ["rl", "", expires, f"/blob/{ACCOUNT}/{container}", "", "", "", VERSION, "c", "", "", "", "", "", "", ""]
    token = {"sv": VERSION, "sr": "c", "sp": "rl", "se": expires, "sig": sign("\n".join(fields))}
    print(f"{ACCOUNT}:{KEY}")
    print(urllib.parse.urlencode(token))


def gcs(base, bucket):
    ask("POST", f"{base}/storage/v1/b?project=larder", json.dumps({"name": bucket}).encode(), {"Content-Type": "application/json"})


def serve_gcs(port):
    """The emulator, with the headers that Google sends with every object and its XML interface leaves out."""
    from gcp_storage_emulator.handlers import objects

    def complete(handle):
        def handler(request, response, storage, *args, **kwargs):
            handle(request, response, storage, *args, **kwargs)
            if response.status < 300:
                response["ETag"] = '"1"'
                response["Last-Modified"] = email.utils.formatdate(usegmt=True)
                response["x-goog-generation"] = "1"

        return handler

    # Before the server is imported: its table of routes holds the functions themselves.
    objects.download = complete(objects.download)
    objects.xml_upload = complete(objects.xml_upload)
    from gcp_storage_emulator.server import create_server

    create_server("127.0.0.1", int(port), True).run()


def serve_tls(port, plain, folder):
    import asyncio
    import ssl

    import trustme

    root = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    root.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    root.cert_pem.write_to_path(f"{folder}/root.pem")

    async def pump(reader, writer):
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader, writer):
        there, here = await asyncio.open_connection("127.0.0.1", int(plain))
        await asyncio.gather(pump(reader, here), pump(there, writer))

    async def run():
        server = await asyncio.start_server(serve, "127.0.0.1", int(port), ssl=context)
        await server.serve_forever()

    asyncio.run(run())


def main():
    if sys.argv[1] in ("serve-gcs", "serve-tls"):
        {"serve-gcs": serve_gcs, "serve-tls": serve_tls}[sys.argv[1]](*sys.argv[2:])
        return
    kind, port, bucket = sys.argv[1:]
    {"moto": moto, "azurite": azurite, "gcs": gcs, "ceph": ceph}[kind](f"http://127.0.0.1:{port}", bucket)


if __name__ == "__main__":
    main()
