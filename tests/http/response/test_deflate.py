# SPDX-License-Identifier: Apache-2.0
"""One record serves clients that take gzip and clients that do not."""
import gzip

import pytest

pytestmark = pytest.mark.mpm_independent
CONFIG = """
<Location ~ "^/(cgi|fpm|proxy)/">
    SetOutputFilter DEFLATE
</Location>
"""
GZIP = [("Accept-Encoding", "gzip")]
PATH = "/pay?body=" + "hello+" * 100
PLAIN = b"hello " * 100


@pytest.mark.parametrize("first_gzip", [True, False])
def test_compressed_for_the_client_that_asks_now(each_api, origin, first_gzip):
    answers = []
    for headers in (GZIP, [], GZIP) if first_gzip else ([], GZIP, []):
        answers.append((each_api.post(PATH, key="k1", headers=headers), headers == GZIP))
    for answer, compressed in answers:
        assert answer["Content-Encoding"] == ("gzip" if compressed else None)
        assert (gzip.decompress(answer.body) if compressed else answer.body) == PLAIN
        assert "accept-encoding" in answer["Vary"].lower()
        assert answer["Content-Type"] == "application/json"
    assert [answer.replayed for answer, _ in answers] == [False, True, True]
    assert origin.executions("/pay") == 1
