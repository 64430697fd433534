#include "cli/program.hpp"

int main(int argc, char** argv) { return actionflows::cli::run_program(argc, argv); }
