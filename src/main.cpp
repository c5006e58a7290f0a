// streamobs: a streaming observability engine in one binary. Everything is in app/.
#include "app/cli.h"

int main(int argc, char** argv) { return streamobs::app::run_cli(argc, argv); }
