// Boost.Redis' own functions, compiled once.
#include <boost/redis/src.hpp>
