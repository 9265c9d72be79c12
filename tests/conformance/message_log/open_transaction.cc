// A process that dies in the middle of a transaction: open_transaction BROKERS TRANSACTIONAL_ID
// TOPIC VALUE begins one, has the broker acknowledge one record of it, says `open` and waits to be
// killed.

#include <librdkafka/rdkafka.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace {

void Require(bool condition, const char* what) {
  if (condition) return;
  std::printf("%s did not work\n", what);
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  Require(argc == 5, "reading the arguments");
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], nullptr, 0);
  rd_kafka_conf_set(conf, "transactional.id", argv[2], nullptr, 0);
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, nullptr, 0);
  Require(producer != nullptr, "creating a producer");
  Require(rd_kafka_init_transactions(producer, 20'000) == nullptr, "initialising transactions");
  Require(rd_kafka_begin_transaction(producer) == nullptr, "beginning a transaction");
  Require(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(argv[3]), RD_KAFKA_V_PARTITION(0),
                            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY("key", 3),
                            RD_KAFKA_V_VALUE(argv[4], __builtin_strlen(argv[4])),
                            RD_KAFKA_V_END) == RD_KAFKA_RESP_ERR_NO_ERROR,
          "producing");
  Require(rd_kafka_flush(producer, 20'000) == RD_KAFKA_RESP_ERR_NO_ERROR, "delivering");
  std::puts("open");
  std::fflush(stdout);
  while (true) pause();
}
