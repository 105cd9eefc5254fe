#!/usr/bin/env bash
# Fetches Apache Kafka from Maven Central and starts one broker on loopback for the tests.
#
#   start.sh [STATE_DIR] [PORT]
#
# STATE_DIR holds the broker's data, log, pid and address (default: state-kafka in the cache).
# PORT is chosen when not given. A second listener asks for TLS and a password (user `lab`, password
# `secret`). On success the lines printed are, the last one last:
#
#   KAFKA_SECURE_BROKERS=127.0.0.1:OTHER_PORT
#   KAFKA_SECURE_CA=STATE_DIR/ca.pem
#   KAFKA_BROKERS=127.0.0.1:PORT
#
# A broker that already runs in STATE_DIR is used as it is. End it with stop.sh [STATE_DIR].
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${TURNAROUND_CACHE:-$HOME/.cache/turnaround}
state=${1:-$cache/state-kafka}
wanted_port=${2:-}
start_seconds=${KAFKA_START_SECONDS:-90}

fail() {
  echo "kafka: $*" >&2
  exit 1
}

# Prints the major version of the Java at hand, or 0.
java_major() {
  local version
  version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1) || true
  echo "${version:-0}"
}

check_tools() {
  if [ "$(java_major)" -lt 17 ]; then
    fail "Java 17 or newer is needed to run Apache Kafka; install it with" \
      "'sudo apt-get install openjdk-17-jre-headless' ('brew install openjdk@17' on macOS)," \
      "or set KAFKA_BROKERS to a broker that runs already"
  fi
}

# Copies the jars into the cache, once per version.
fetch_jars() {
  [ -e "$libs/.complete" ] && return
  command -v mvn >/dev/null || fail "Maven is needed to fetch Apache Kafka; install it with" \
    "'sudo apt-get install maven' ('brew install maven' on macOS)," \
    "or set KAFKA_BROKERS to a broker that runs already"
  echo "kafka: fetching Apache Kafka $version from Maven Central (54 MB, once)" >&2
  local fresh
  mkdir -p "$cache"
  fresh=$(mktemp -d "$cache/kafka-$version.XXXXXX")
  if ! mvn --quiet --batch-mode -f "$here/pom.xml" dependency:copy-dependencies \
    -DoutputDirectory="$fresh" -DincludeScope=runtime >"$fresh/.mvn.log" 2>&1; then
    tail -n 20 "$fresh/.mvn.log" >&2
    rm -rf "$fresh"
    fail "could not fetch the jars; look at the network and Maven's settings.xml"
  fi
  touch "$fresh/.complete"
  rm -rf "$libs"
  # Another start may have come first: then its copy is as good.
  mv -T "$fresh" "$libs" 2>/dev/null || mv "$fresh" "$libs" 2>/dev/null || rm -rf "$fresh"
}

answers() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# free_port [TAKEN...]: prints a port that nothing listens on and that is not among those taken,
# below the range that outgoing connections use.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    if [[ " $* " != *" $port "* ]] && ! answers "$port"; then
      echo "$port"
      return
    fi
  done
}

write_properties() {
  cat >"$state/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller_port
listeners=PLAINTEXT://127.0.0.1:$port,SECURE://127.0.0.1:$secure_port,CONTROLLER://127.0.0.1:$controller_port
advertised.listeners=PLAINTEXT://127.0.0.1:$port,SECURE://127.0.0.1:$secure_port
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
listener.name.secure.sasl.enabled.mechanisms=PLAIN
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_lab="secret";
listener.name.secure.ssl.keystore.type=PKCS12
listener.name.secure.ssl.keystore.location=$state/broker.p12
listener.name.secure.ssl.keystore.password=loopback
log.dirs=$state/data
num.partitions=1
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# Events carry the dates of their laboratories, not of this machine: nothing may be deleted or
# refused for its age.
log.retention.ms=-1
log.retention.bytes=-1
log.message.timestamp.before.max.ms=9223372036854775807
log.message.timestamp.after.max.ms=9223372036854775807
# A message of 10 MB is legal.
message.max.bytes=12582912
replica.fetch.max.bytes=12582912
log.cleaner.dedupe.buffer.size=16777216
PROPERTIES
}

# A certificate for 127.0.0.1 that signs itself.
write_certificate() {
  rm -f "$state/broker.p12" "$state/ca.pem"
  keytool -genkeypair -alias broker -keyalg RSA -keysize 2048 -validity 365 \
    -dname CN=127.0.0.1 -ext san=ip:127.0.0.1 -ext bc:c \
    -storetype PKCS12 -keystore "$state/broker.p12" -storepass loopback 2>"$state/format.log" &&
    keytool -exportcert -rfc -alias broker -keystore "$state/broker.p12" -storepass loopback \
      >"$state/ca.pem" 2>>"$state/format.log"
}

print_addresses() {
  echo "KAFKA_SECURE_BROKERS=$(cat "$state/brokers-secure")"
  echo "KAFKA_SECURE_CA=$state/ca.pem"
  echo "KAFKA_BROKERS=$(cat "$state/brokers")"
}

# Formats the data folder and starts the broker; succeeds once it takes requests.
start_broker() {
  rm -rf "$state/data"
  write_properties
  write_certificate || {
    cat "$state/format.log" >&2
    fail "could not make a certificate with keytool"
  }
  local id
  id=$(java -cp "$libs/*" kafka.tools.StorageTool random-uuid 2>/dev/null)
  java -cp "$libs/*" kafka.tools.StorageTool format --cluster-id "$id" \
    --config "$state/server.properties" >"$state/format.log" 2>&1 || {
    cat "$state/format.log" >&2
    fail "could not format $state/data"
  }
  nohup java -Xmx512m -Xms128m -XX:+UseSerialGC \
    -Dorg.slf4j.simpleLogger.showDateTime=true \
    -cp "$libs/*" kafka.Kafka "$state/server.properties" \
    </dev/null >"$state/server.log" 2>&1 &
  pid=$!
  echo "$pid" >"$state/pid"
  local waited=0
  while [ "$waited" -lt $((start_seconds * 5)) ]; do
    if grep -q 'Kafka Server started' "$state/server.log" && answers "$port"; then
      return 0
    fi
    kill -0 "$pid" 2>/dev/null || return 1
    sleep 0.2
    waited=$((waited + 1))
  done
  kill "$pid" 2>/dev/null || true
  return 1
}

version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
libs=$cache/kafka-$version

mkdir -p "$state"
state=$(cd "$state" && pwd)
if [ -s "$state/pid" ] && [ -s "$state/brokers" ] && kill -0 "$(cat "$state/pid")" 2>/dev/null; then
  print_addresses
  exit 0
fi

check_tools
fetch_jars

# A port may be taken between choosing and binding: try again with another.
for attempt in 1 2 3; do
  port=${wanted_port:-$(free_port)}
  controller_port=$(free_port "$port")
  secure_port=$(free_port "$port" "$controller_port")
  if start_broker; then
    echo "127.0.0.1:$secure_port" >"$state/brokers-secure"
    echo "127.0.0.1:$port" >"$state/brokers"
    print_addresses
    exit 0
  fi
  rm -f "$state/pid"
  echo "kafka: the broker did not come up on port $port (attempt $attempt of 3)" >&2
done
tail -n 20 "$state/server.log" >&2
fail "the broker did not come up; its log is $state/server.log"
