"""A replay as one page of HTML that needs nothing else: no network, no fonts, no script.

`page(Report(…))` returns it. Everything in it is escaped: names of accounts and models are whatever
somebody has put into the traffic.
"""

from proxy.replay.report.given import Against, Report, Rules, Table
from proxy.replay.report.page import page

__all__ = ["Against", "Report", "Rules", "Table", "page"]
