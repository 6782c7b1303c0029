"""Run by the interpreter of the official clients: sign the cases on stdin, answer on stdout."""

from __future__ import annotations

import json
import sys

from eth_account import Account
from hyperliquid.utils.signing import sign_l1_action

WALLET = Account.from_key("0x" + "0123456789" * 6 + "0123")


def main() -> None:
    """One signature for each case, in order."""
    answers = [
        sign_l1_action(
            WALLET, case["action"], case["vault"], case["nonce"], case["expires"], case["mainnet"]
        )
        for case in json.load(sys.stdin)
    ]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
