"""A Kafka topic beside Kafka's own ConsumerPerformance.

The same rows over six partitions, in the order of the feed, read to the end by a whole process
(start, group, computing, Parquet, exit) and by Kafka's own consumer, which counts bytes and does
nothing else; its figure is its time of fetching alone. They take turns.
"""
import os
import statistics
import subprocess

PARTITIONS = 6


class Topic:
    """A topic that holds a feed."""

    def __init__(self, brokers, jars, feed, rows):
        self.brokers, self.jars, self.rows = brokers, jars, rows
        self.name = f"bench-{self.rows}-{os.getpid()}"
        self.tool("TopicCommand", "--create", "--topic", self.name, "--partitions", str(PARTITIONS))
        # Batches go to the partitions in turn, so that each has the feed's order.
        producing = ["--topic", self.name, "--compression-codec", "lz4",
                     "--max-partition-memory-bytes", "131072", "--timeout", "20"]
        with open(feed, "rb") as lines:
            subprocess.run(self.command("ConsoleProducer", *producing), stdin=lines, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def command(self, tool, *arguments):
        """A tool of Kafka's."""
        return ["java", "-cp", f"{self.jars}/*", f"org.apache.kafka.tools.{tool}",
                "--bootstrap-server", self.brokers, *arguments]

    def tool(self, *arguments):
        """What a tool of Kafka's prints."""
        ran = subprocess.run(self.command(*arguments), stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, check=True)
        return ran.stdout.decode()

    def raw_seconds(self):
        """How long Kafka's own consumer takes to fetch every record."""
        out = self.tool("ConsumerPerformance", "--topic", self.name, "--messages", str(self.rows),
                        "--timeout", "60000")
        header, *_, figures = [line.split(", ") for line in out.strip().splitlines() if "," in line]
        seen = dict(zip(header, figures))
        if int(seen["data.consumed.in.nMsg"]) < self.rows:
            raise SystemExit(f"ConsumerPerformance has not seen all records: {seen}")
        return float(seen["fetch.time.ms"]) / 1000


def report(topic, pairs):
    """One line: the medians of (ours, raw) seconds and of their ratios."""
    ours, raw = (statistics.median(seconds) for seconds in zip(*pairs))
    share = statistics.median(raw / ours for ours, raw in pairs)
    print(f"{f'Kafka, {topic.rows} messages':28} {topic.rows / ours:12,.0f} rows/s  {ours:6.2f} s"
          f"  {share:5.2f} of Kafka's own consumer ({raw:.2f} s)")


def report_slope(small, large):
    """One line: the share of the consumer's rate between two topics, what a start costs left out."""
    def slope(side):
        less, more = (statistics.median(pair[side] for pair in pairs) for pairs in (small, large))
        return more - less
    print(f"{'Kafka, between the two':28} {slope(0):6.2f} s  {slope(1) / slope(0):5.2f} of Kafka's own consumer"
          f" ({slope(1):.2f} s)")
