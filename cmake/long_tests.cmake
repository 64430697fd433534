# Read by ctest after it has listed the tests. Those that take longest start first, so that none is
# left to run alone at the end; ctest knows times of its own only after a first run.

# These keep a core busy: they count for two of the jobs, of which `./dev test` runs two per core,
# since most other tests wait for a server or a clock.
foreach(test
    Simulation.KeepsEveryPromise
    Redis/DriverConformance.ModelAgreesOnRandomSequences/redis
    Sqlite/DriverConformance.ModelAgreesOnRandomSequences/sqlite
    Resilient/DriverConformance.ModelAgreesOnRandomSequences/over_redis
    Resilient/DriverConformance.ModelAgreesOnRandomSequences/over_sqlite
    Resilient/DriverConformance.ModelAgreesOnRandomSequences/over_memory
    Resilient/DriverConformance.ModelAgreesOnRandomSequences/watched
    TypedModel.AgreesOnRandomSequences)
  set_tests_properties(${test} PROPERTIES COST 1000 PROCESSORS 2)
endforeach()

foreach(test
    Crash.LeavesWhatTheLogRebuilds
    Crash.LosesNothingThatWasAcknowledgedAndKeepsNothingByHalves
    Memory/DriverConformance.ModelAgreesOnRandomSequences/memory
    OutageCrash.LosesNothingThatWasAcknowledgedAndAppliesNothingTwice
    OutageThousand.ClientsReachThePrimaryByOneProbePerIntervalAndSoonAllIsAsBefore
    Interchange.RecordedRunsGoThroughTwoServersUnchanged)
  set_tests_properties(${test} PROPERTIES COST 900)
endforeach()
