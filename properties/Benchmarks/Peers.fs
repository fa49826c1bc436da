/// Figures of other libraries, recorded on the data that the benchmark reads by default: a virtual machine with 2 cores, one thread, PyTorch on OpenBLAS, medians of calm
/// runs. That machine drifts by a factor of two: only ratios to a yardstick that was measured beside a figure are comparable, and those by tens of per cent.
module ValueFlow.Benchmarks.Peers

// Microseconds of one step of a plain Python loop "x + h v(t, x)" without gradients, network 3-64-64-64-2: the bare forward pass of the recorded figures.
let private forward = 303.0
let private forward4096 = 3240.0

let private recorded (name: string) (figure: float) (yardstick: float voption) (source: string) : PeerFigure =
    { Name = name; Figure = figure; Yardstick = yardstick; Source = source }

let private against name figure yardstick source = recorded name figure (ValueSome yardstick) source

/// Microseconds of a training step, independent coupling: 839 steps/s.
let trainingIndependent: PeerFigure =
    against "torchcfm, I-CFM" (1e6 / 839.0) forward "steps per second of the whole loop; forward pass from a plain Euler loop"

/// Microseconds of a training step, exact minibatch transport: 94.5 steps/s.
let trainingExact: PeerFigure =
    against "torchcfm, OT-CFM with POT" (1e6 / 94.5) forward "steps per second of the whole loop; forward pass from a plain Euler loop"

/// W2 to 10,000 test samples after 20,000 steps, seed 0.
let distanceIndependent: PeerFigure = recorded "torchcfm, I-CFM" 0.441 ValueNone "exact W2 by POT, one seed"

/// W2 to 10,000 test samples after 20,000 steps with exact minibatch transport, one seed.
let distanceExact: PeerFigure = recorded "torchcfm, OT-CFM" 0.246 ValueNone "exact W2 by POT, one seed"

/// E int |v|^2 dt along the flow: 18.4, 19.8, 17.9 for three seeds.
let energyIndependent: PeerFigure = recorded "torchcfm, I-CFM" 18.4 ValueNone "seed 0 of three (17.9 to 19.8)"

/// E int |v|^2 dt along the flow.
let energyExact: PeerFigure = recorded "torchcfm, OT-CFM" 7.09 ValueNone "one seed"

/// |energy - W2^2| / W2^2 between the two laws.
let normalisedIndependent: PeerFigure = recorded "torchcfm, I-CFM" 1.45 ValueNone "seed 0 of three (1.38 to 1.64)"

/// |energy - W2^2| / W2^2 between the two laws.
let normalisedExact: PeerFigure = recorded "torchcfm, OT-CFM" 0.056 ValueNone "one seed"

/// Evaluations of a Dormand-Prince solve at 1e-5, batch 256.
let evaluationsIndependent: PeerFigure = recorded "torchcfm, torchdiffeq" 134.0 ValueNone "128 to 140 for three seeds"

/// Evaluations of a Dormand-Prince solve at 1e-5, batch 256.
let evaluationsExact: PeerFigure = recorded "torchcfm, torchdiffeq" 50.0 ValueNone "one seed"

/// W2^2 between the laws of the 10,000 test samples of the recorded data.
let squaredDistance: float = 7.467

/// Microseconds per evaluation of a Dormand-Prince solve at 1e-5, beside an evaluation in a plain loop: dimension and batch.
let solver (dimension: int) (batch: int) : PeerFigure =
    let figure, yardstick =
        match dimension, batch with
        | 2, 256 -> 556.0, forward
        | 2, _ -> 2965.0, forward4096
        | _, 256 -> 1271.0, 356.0
        | _ -> 10270.0, 3664.0

    against "torchdiffeq, dopri5" figure yardstick "medians of 5, quiet window; yardstick: evaluation in a plain Euler loop"

/// The largest error of that solve against a float64 reference on the first 256 rows.
let solverError (dimension: int) (batch: int) : PeerFigure =
    let figure =
        match dimension, batch with
        | 2, 256 -> 9.9e-3
        | 2, _ -> 1.9e-2
        | _ -> 7.8e-5

    recorded "torchdiffeq, dopri5" figure ValueNone "float64 reference: rk4, 1024 to 4096 steps"

/// Microseconds of an Euler-Maruyama step, beside a plain loop: batch.
let eulerMaruyama (batch: int) : PeerFigure =
    let steps, plain = if batch = 256 then 1078.0, 2519.0 else 235.0, 264.0
    against "torchsde, euler" (1e6 / steps) (1e6 / plain) "CPU time, 128 steps; yardstick: plain loop in Python"

/// Milliseconds of an exact assignment, costs included, beside the forward pass: points a side.
let assignment (size: int) : PeerFigure =
    let figure = if size = 256 then 6.1 else 135.0
    against "POT, emd" figure (forward / 1e3) "calm machine; forward pass from a plain Euler loop, batch 256"

/// Seconds of the exact W2 of 10,000 points a side.
let largeAssignment: PeerFigure = recorded "POT, emd2" 28.0 ValueNone "CPU time, 28 to 35 s"

let private torch13 (what: string) (figure: float) : PeerFigure = recorded $"PyTorch 1.13, {what}" figure ValueNone "float32, 1 thread, CPU"

/// Microseconds of a categorical projection with 51 atoms: batch. The fastest of four ways to write it.
let projection (batch: int) : PeerFigure = torch13 "scatter_add" (if batch = 32 then 59.0 else 379.0)

/// Microseconds of a categorical cross-entropy with its gradient: batch.
let crossEntropy (batch: int) : PeerFigure = torch13 "autograd" (if batch = 32 then 90.0 else 307.0)

/// Microseconds of a quantile Huber loss of 200 x 200 pairs: batch. The fastest of three ways to write it, by sorted targets and prefix sums; all pairs took 3,975 and 868,254.
let quantileForward (batch: int) : PeerFigure = torch13 "sorted targets" (if batch = 32 then 1838.0 else 53908.0)

/// The same with its gradient; all pairs took 6,544 and 1,247,369.
let quantileBackward (batch: int) : PeerFigure = torch13 "sorted targets" (if batch = 32 then 1965.0 else 58273.0)
