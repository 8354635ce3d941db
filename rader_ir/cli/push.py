"""`rader push`: a finished checkpoint folder, with its card, to the hub."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The folder and where it goes."""
    parser.add_argument("folder", metavar="FOLDER", help="a checkpoint that `rader train` has finished")
    parser.add_argument("repository", metavar="REPO", help="organisation/name; made if it is not there")
    parser.add_argument("--public", action="store_true", help="let everyone see a repository that is made")
    parser.add_argument("--revision", metavar="BRANCH", help="branch to commit to (default: main)")


def run(args: argparse.Namespace) -> dict:
    """Uploads the folder in one commit."""
    from rader_ir.train.push import push

    address = push(args.folder, args.repository, private=not args.public, revision=args.revision)
    return {"repository": args.repository, "commit": address}
